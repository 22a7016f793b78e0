"""The cluster runtime: Ray, and the roles that know no Ray."""

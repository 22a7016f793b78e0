"""The cluster runtime: Ray, and the roles, which do not depend on it."""

"""Published experiments on each replay method, repeated with our own replay classes."""

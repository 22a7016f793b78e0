"""Config -> objects: the only room that knows both."""

"""Tasks that need memory and train in minutes; docs/environments.md compares them."""

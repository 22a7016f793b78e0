"""A sparse memory task with and without demonstrations."""

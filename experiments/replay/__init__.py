"""The published experiments that show each replay method at work, run through our own replay classes."""

"""What each process of a cluster does, as plain classes: nothing here knows how messages travel."""

"""What each process of a cluster does, as plain classes that are independent of the transport."""

"""The cluster runtime measured: who is lost and what that costs, what processes and machines bring."""

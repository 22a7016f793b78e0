"""Continuous control: SAC, TD3 and DDPG with and without memory."""

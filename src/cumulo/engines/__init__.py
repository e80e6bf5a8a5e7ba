"""What runs containers: one contract (engine.py), and the engines that keep it."""

"""What carries tasks through their life: plan.py decides, the loops of run.py do, pods.py says a task in pods."""

"""Application Auto Scaling: keeps what can be scaled (services of ECS) as large as policies and schedules want it."""

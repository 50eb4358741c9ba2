"""What is trained: one module a task, each a `Task` that the trainer steps."""

"""What this project's models are judged on, and the records of it."""

"""What runs inside the lab's worker processes; nothing here imports the rest of the package."""

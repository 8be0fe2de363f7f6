"""What a request means here: its model and files found, its parameters completed and checked, its memory foreseen."""

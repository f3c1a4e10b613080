"""Motion made without rendering: faces, what they do, and what the flow stage would measure of it."""

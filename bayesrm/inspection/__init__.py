"""What opens a finished run or a campaign again: to diagnose, to explain, to export its reward model."""

"""What study.py is made of."""

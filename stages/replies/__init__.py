"""What is written for a language model, and what can be made of what it writes back."""

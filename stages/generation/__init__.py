"""Replies of language models: what is asked, where replies are kept, what they cost, who answers."""

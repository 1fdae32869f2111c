"""The engine: recipe -> plan -> run -> receipts -> report, and the command line."""

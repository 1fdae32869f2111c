"""What `verify_boxes` measures, beside plain geometry."""

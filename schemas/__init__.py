"""The words everybody speaks: boxes, spans, columns, recipes, rejections. Pure data, no I/O."""

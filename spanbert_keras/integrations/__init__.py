"""Components for other libraries' pipelines. Nothing else of this package imports them."""

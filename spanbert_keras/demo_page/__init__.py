"""What the program `demo` shows: a page with a tab for each model. Only `page.py` and `server.py` need Gradio."""

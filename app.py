"""Web entry, here and on Hugging Face Spaces: python app.py."""

from genre_app.ui.page import serve

if __name__ == "__main__":
    serve()

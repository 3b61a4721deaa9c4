// gradio speaks the browser's language, and marks the page as written in it. This page is English, so its buttons must be too.
Object.defineProperty(Navigator.prototype, "language", { get: () => "en" });

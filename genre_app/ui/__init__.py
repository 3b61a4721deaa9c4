"""The web page. gradio and matplotlib live only here; one file a tab, one for the figure."""

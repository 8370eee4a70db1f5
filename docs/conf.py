"""Settings of the documentation, built by Sphinx from the Markdown pages beside this file."""

from importlib.metadata import version as installed_version

project = "Isoloss"
release = version = installed_version("isoloss")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "Isoloss"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

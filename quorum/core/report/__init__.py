"""HTML reports: one page template, its macros, and plots as inline SVG."""

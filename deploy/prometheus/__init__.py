"""What Prometheus is told about Firstvalue: objectives, alerts and what to scrape, generated from typed definitions."""

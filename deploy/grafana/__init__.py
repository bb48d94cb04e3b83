"""Dashboards as code: what each panel asks, and the JSON that Grafana provisions."""

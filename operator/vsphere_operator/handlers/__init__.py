"""The Kopf wiring: it watches, and hands each event on. The only place that imports kopf."""

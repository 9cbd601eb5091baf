"""Corrects Simpycity, whose own package stays unchanged."""

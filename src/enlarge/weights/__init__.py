"""Models as files: the card, the catalog, the formats, and export."""

"""Raw examples as users give them: texts, entities, documents."""

"""Who answers: one file a backend, each with the stage that a recipe gets for it."""

"""Small models trained to learn something: ablations, swarms, and mixtures that are learnt while one trains."""

"""From what annotators said to ratings of models: readers, agreement, aggregation, Bradley-Terry."""

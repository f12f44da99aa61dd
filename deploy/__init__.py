"""How Mixstitch runs elsewhere and over time: served deployments, their schedule, work pools, containers."""

DEPLOYMENTS = ("experiment/experiment", "retraining/retraining")  # flow/deployment, as Prefect names them

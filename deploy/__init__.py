"""How Mixstitch runs elsewhere and over time: served deployments, their schedule, work pools, containers."""

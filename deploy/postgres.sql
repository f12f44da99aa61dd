-- Beside Prefect's database, which the image makes, one for MLflow.
create database mlflow;

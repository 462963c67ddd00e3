"""Ensembles: estimators fitted on blocks of rows that fit in memory, combined to one."""

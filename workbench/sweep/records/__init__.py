"""What a run leaves: the record of a notebook, the machine it ran on, and all of them as one table. Judges nothing.

``recording`` is the notebook's end of it, ``environment`` and ``machine`` the machine's. ``attempt_file`` keeps each
attempt as JSON, ``compaction`` all of them as Parquet; ``store`` reads whichever is of today, for frames, SQL
(``querying``) and other tools (``mlflow_export``). ``migrations`` knows what older versions left.
"""

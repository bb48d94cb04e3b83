"""Apache Kafka for the local stack: one KRaft node, its jars from a lock file, a Java to run it."""

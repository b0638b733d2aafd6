"""The benchmark around SGLang's own bench_serving: its command, its result, its verdict, a host's own baselines."""

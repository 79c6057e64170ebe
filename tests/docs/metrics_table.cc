// Prints the table of metrics in deploy/prometheus/METRICS.md.
#include <cstdio>

#include "metrics/names.h"

int main() { return std::fputs(postern::metrics::MetricsTable().c_str(), stdout) < 0 ? 1 : 0; }

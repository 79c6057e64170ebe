#include "proxy/admin/command_line.h"

int main(int argc, char** argv) { return postern::admin::RunCommandLine(argc, argv); }

// The verbs of the command line.
#ifndef POSTERN_PROXY_ADMIN_COMMAND_LINE_H_
#define POSTERN_PROXY_ADMIN_COMMAND_LINE_H_

namespace postern::admin {

// Runs one verb and returns the exit status: 0 done, 1 the verb failed and said why on stderr,
// 2 the command line itself was wrong.
int RunCommandLine(int argc, char** argv);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_COMMAND_LINE_H_

// Tables and times for terminals.
#ifndef POSTERN_PROXY_ADMIN_TEXT_TABLE_H_
#define POSTERN_PROXY_ADMIN_TEXT_TABLE_H_

#include <string>
#include <vector>

namespace postern::admin {

// Appends the rows, which all have as many cells as the first. Columns are as wide as they need;
// the last one is not padded.
void AddTable(const std::vector<std::vector<std::string>>& rows, std::string* text);

// "3 s", "12 min", "5 h", "9 d".
std::string AgoText(double seconds);

}  // namespace postern::admin

#endif  // POSTERN_PROXY_ADMIN_TEXT_TABLE_H_

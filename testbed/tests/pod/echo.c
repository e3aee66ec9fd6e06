/* Answers every connection to port 8080 with the host name. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 16) != 0) {
        return 1;
    }
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        char name[256] = "";
        if (connection < 0 || gethostname(name, sizeof name - 1) != 0 ||
            write(connection, name, strlen(name)) < 0) {
            return 1;
        }
        close(connection);
    }
}
